import { ResourceMonitor } from "./utils/resource_monitor";

const monitor = new ResourceMonitor(workspaceRoot);

// Get current metrics
const metrics = await monitor.getMetrics();
console.log(`Throttle level: ${metrics.throttle_level}`);

// Check if under pressure
if (await monitor.isUnderPressure()) {
  // System is struggling
  const recommended = await monitor.getRecommendedAgentCount();
  console.log(`Reduce to ${recommended} agents`);
}

// Apply throttle delay
await monitor.applyThrottle(); // Waits 0-2s based on pressure

// Wait for resources to free up
const ok = await monitor.waitForResources(60000, 1); // Wait up to 60s for level ≤ 1
if (ok) {
  // Can proceed with heavy operation
}
