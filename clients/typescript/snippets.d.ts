/** What the pages' snippets take for granted: what whoever copies them has already. */
declare const signal: AbortSignal;
declare const prompt: string;
declare const lease: import("admission-client").Lease;
declare function runAgent(options: { effort: string; signal?: AbortSignal }): Promise<void>;
declare function askTheModel(prompt: string): Promise<string>;
declare function show(rows: readonly object[]): void;
