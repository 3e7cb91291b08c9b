// The folders that a server reads from and writes to on behalf of clients.

import { existsSync, readlinkSync, realpathSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";

/** The path that means standard input. */
export const STANDARD_INPUT = "-";

export class Folders {
  readonly #paths: string[];

  constructor(
    paths: string[],
    readonly standardInput: boolean,
  ) {
    this.#paths = paths.map((path) => realPath(resolve(path)));
  }

  /**
   * Returns a path without links; undefined if it is outside the folders. A relative path is
   * looked up in each folder in turn.
   */
  locate(path: string): string | undefined {
    const served = this.#paths
      .map((folder) => realPath(resolve(folder, path)))
      .filter((candidate) => this.#paths.some((folder) => contains(folder, candidate)));
    return served.find((candidate) => existsSync(candidate)) ?? served[0];
  }
}

function contains(folder: string, path: string): boolean {
  const rest = relative(folder, path);
  return rest !== ".." && !rest.startsWith("../");
}

/** Resolves the links of the part of a path that exists. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    // It does not exist, or a link in it leads to nothing.
  }
  try {
    return realPath(resolve(dirname(path), readlinkSync(path)));
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(realPath(parent), basename(path));
  }
}
