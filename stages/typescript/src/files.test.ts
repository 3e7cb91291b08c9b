import assert from "node:assert/strict";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { Draft } from "./draft.js";
import { Folders } from "./folders.js";

function newFolder(context: TestContext): string {
  const folder = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "stage-")));
  context.after(() => {
    fs.rmSync(folder, { recursive: true });
  });
  return folder;
}

test("only files in the folders are located", (context) => {
  const root = newFolder(context);
  const served = join(root, "served");
  fs.mkdirSync(served);
  fs.writeFileSync(join(root, "secret"), "");
  fs.symlinkSync("../secret", join(served, "out"));
  fs.symlinkSync("loop", join(served, "loop"));
  const folders = new Folders([served], false);

  assert.equal(folders.locate("new"), join(served, "new"));
  assert.equal(folders.locate(join(served, "new")), join(served, "new"));
  for (const outside of ["../secret", "out", "/etc/passwd", "a/../../secret"]) {
    assert.equal(folders.locate(outside), undefined, outside);
  }
  assert.equal(folders.locate("loop"), join(served, "loop"));
  assert.equal(new Folders([], false).locate("new"), undefined);
});

test("a draft replaces the file and keeps its permissions", async (context) => {
  const folder = newFolder(context);
  const target = join(folder, "result");
  fs.writeFileSync(target, "earlier");
  fs.chmodSync(target, 0o640);

  const draft = await Draft.of(target);
  await draft.write("whole");
  assert.equal(fs.readFileSync(target, "utf-8"), "earlier");
  await draft.publish();
  await draft.close();

  assert.equal(fs.readFileSync(target, "utf-8"), "whole");
  assert.equal(fs.statSync(target).mode & 0o777, 0o640);
  assert.deepEqual(fs.readdirSync(folder), ["result"]);
});

test("a draft that is not published leaves nothing", async (context) => {
  const folder = newFolder(context);

  const draft = await Draft.of(join(folder, "result"));
  await draft.write("part");
  await draft.close();

  assert.deepEqual(fs.readdirSync(folder), []);
});

test("only a regular file is replaced", async (context) => {
  await assert.rejects(Draft.of(newFolder(context)), /not a regular file/);
  await assert.rejects(Draft.of("/dev/null"), /not a regular file/);
});
