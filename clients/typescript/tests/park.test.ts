/** A holder that is asked to end, and goes on later. */

import assert from "node:assert/strict";

import { Client, type Frame } from "admission-client";
import { encode } from "#frames";

import { answers, Folder, golden, Impostor, test, type Reply } from "./stage.js";

test("a holder that can be parked is told once, and who comes back for its lease says so", async () => {
  const nowhere = new Folder();
  const asked: Frame[] = [];
  const granted = golden("replies", "granted");
  const event = golden("events", "park");
  const grants: Reply = (frame) => {
    asked.push(frame);
    const told = encode({ ...event, id: frame["id"], lease: granted["lease"] });
    const answer = encode({ ...granted, id: frame["id"] });
    return Buffer.concat([answer, told, told]);
  };
  const impostor = await Impostor.at(nowhere.socket, [[grants, answers({})]]);
  const client = new Client({ socket: nowhere.socket });
  const told: string[] = [];
  const lease = await client.acquire({ onPark: (reason) => told.push(reason), resumes: 41 });
  await lease.release();
  await client.close();
  await impostor.close();
  nowhere.remove();
  assert.deepEqual(told, [event["reason"]]);
  assert.deepEqual([asked[0]?.["parkable"], asked[0]?.["resumes"]], [true, 41]);
});
