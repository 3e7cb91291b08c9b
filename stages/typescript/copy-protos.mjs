// Reflection reads the contract at run time.
import { cpSync } from "node:fs";

cpSync(
  new URL("../../proto/pipeline", import.meta.url),
  new URL("dist/proto/pipeline", import.meta.url),
  {
    recursive: true,
  },
);
