/**
 * Lets the document's snippet run as it stands, as a bundler would: its import has no extension,
 * and `workspaceRoot` is there (the first argument).
 */

import { register } from "node:module";

// A hook runs on a thread of its own, so it is a module of its own.
const hook = `export async function resolve(name, context, next) {
  try { return await next(name, context); }
  catch (problem) {
    if (problem.code !== "ERR_MODULE_NOT_FOUND" || !name.startsWith(".")) throw problem;
    return await next(name + ".js", context);
  }
}`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);
Object.assign(globalThis, { workspaceRoot: process.argv[2] });
