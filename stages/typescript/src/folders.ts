// The folders that a server reads from and writes to on behalf of clients.

import { existsSync, readlinkSync, realpathSync } from "node:fs";
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path";

/** The path that means standard input. */
export const STANDARD_INPUT = "-";

/** As many links as Linux follows before it calls them a loop. */
const MAX_LINKS = 40;

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
      // Not normalised: ".." after a link leads out of the folder that it leads to.
      .map((folder) => realPath(isAbsolute(path) ? path : `${folder}/${path}`))
      .filter((candidate) => this.#paths.some((folder) => contains(folder, candidate)));
    return served.find((candidate) => existsSync(candidate)) ?? served[0];
  }
}

function contains(folder: string, path: string): boolean {
  const rest = relative(folder, path);
  return rest !== ".." && !rest.startsWith("../");
}

/** Resolves links and "..", also of a path that does not exist. */
function realPath(path: string, links = 0): string {
  try {
    return realpathSync.native(path);
  } catch {
    // It does not exist, or a link in it leads to nothing.
  }
  const parent = dirname(path);
  if (parent === path) return path;
  const target = links < MAX_LINKS ? linkAt(path) : undefined;
  if (target !== undefined) {
    return realPath(isAbsolute(target) ? target : `${parent}/${target}`, links + 1);
  }
  return join(realPath(parent, links), basename(path));
}

function linkAt(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
