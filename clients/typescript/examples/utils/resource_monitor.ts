/** Where the user's document looks for it. */

export { ResourceMonitor } from "admission-client";
