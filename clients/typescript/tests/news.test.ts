/** Events that came and were not read yet. */

import assert from "node:assert/strict";

import { News } from "#news";

import { test } from "./stage.js";

test("events come in order, and what ended them comes behind the last one", async () => {
  const news = new News();
  const later = news.next();
  news.push({ seq: 1 });
  news.push({ seq: 2 });
  const problem = new Error("the end");
  news.end(problem);
  news.end(new Error("another end"));
  assert.deepEqual([await later, await news.next()], [{ seq: 1 }, { seq: 2 }]);
  await assert.rejects(news.next(), problem);
});

test("who reads too slowly is told how many were lost, and the heap does not grow", async () => {
  const news = new News();
  for (let seq = 1; seq <= 10_007; seq++) news.push({ seq });
  for (let seq = 1; seq <= 10_000; seq++) assert.deepEqual(await news.next(), { seq });
  assert.deepEqual(await news.next(), { event: "lagged", missed: 7 });
  news.push({ seq: 10_008 });
  assert.deepEqual(await news.next(), { seq: 10_008 });
});
