// Publishes a file whole or not at all: written beside its path, synced, renamed.

import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** The drafts that are open. A process that exits in the middle of a call removes them. */
const drafts = new Set<string>();
process.on("exit", () => {
  for (const path of drafts) rmSync(path, { force: true });
});

/**
 * A file that is written beside the path where it will be published. Until `publish`, an
 * earlier file is as it was.
 */
export class Draft {
  size = 0;
  #isOpen = true;

  private constructor(
    private readonly file: FileHandle,
    private readonly path: string,
    private readonly target: string,
  ) {}

  /** Starts a draft of the file at `target`, which has no links. */
  static async of(target: string): Promise<Draft> {
    const mode = await modeOf(target);
    const name = `.${basename(target)}.${randomBytes(4).toString("hex")}.partial`;
    const path = join(dirname(target), name);
    const draft = new Draft(await open(path, "wx"), path, target);
    drafts.add(path);
    try {
      if (mode !== undefined) await draft.file.chmod(mode);
    } catch (error) {
      await draft.close();
      throw error;
    }
    return draft;
  }

  async write(text: string): Promise<void> {
    const data = Buffer.from(text);
    await this.file.writeFile(data);
    this.size += data.length;
  }

  /** Writes the draft to disk and renames it to its path. */
  async publish(): Promise<void> {
    await this.file.sync();
    await rename(this.path, this.target);
    const folder = await open(dirname(this.target));
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }

  /** Closes the draft, and removes it unless it was published. */
  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    try {
      await this.file.close();
    } finally {
      await rm(this.path, { force: true });
      drafts.delete(this.path);
    }
  }
}

/** Returns the permissions of an earlier file; undefined if there is none. */
async function modeOf(target: string): Promise<number | undefined> {
  let earlier;
  try {
    earlier = await stat(target);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  // A rename would replace a device, a pipe or an empty folder.
  if (!earlier.isFile()) throw new Error("it is not a regular file");
  return earlier.mode & 0o7777;
}
