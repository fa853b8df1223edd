/** What the snippet of the user's document takes for granted: the folder of the workspace. */
declare const workspaceRoot: string;
