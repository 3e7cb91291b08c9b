// Mutants in Node: the rules stage of examples/rules_in_node with one thing broken each.
//
// The command line names the folder of the installed example, and the mutant; "none" is
// the stage as it is.

import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [, , folder, mutant] = process.argv;
const load = (name) => import(pathToFileURL(join(folder, name)));
const { stage } = await load("rules.mjs");
const { serve } = await load("stage.mjs");

const never = new Promise(() => {});

/** Changes each value that the stage sends; each is a Long. */
const withValues = (change) => (events) => {
  const output = stage.function(events);
  output.message.value = output.message.value.map(change);
  return output;
};

const mutants = {
  none: {},

  // Values are numbers of this language, which wrap as in a bitwise operation.
  "wraps-at-32-bits": { function: withValues((value) => value.toNumber() | 0) },

  // Values are read as floats.
  "rounds-large-values": {
    function: withValues((value) => Math.fround(value.toNumber())),
  },

  // Every batch is answered, but the stream never ends.
  "ignores-the-half-close": {
    async *process(batches, answer) {
      for await (const batch of batches) yield await answer(batch);
      await never;
    },
  },

  // No batch is answered before the client has half-closed.
  "answers-at-the-end": {
    async *process(batches, answer) {
      const answers = [];
      for await (const batch of batches) answers.push(await answer(batch));
      yield* answers;
    },
  },

  // A batch that fails is answered with an empty payload.
  "swallows-errors": {
    async *process(batches, answer) {
      for await (const batch of batches) {
        try {
          yield await answer(batch);
        } catch {
          yield { number: batch.number, payload: { type_url: `/${stage.returns}` } };
        }
      }
    },
  },
};

await serve({ ...stage, ...mutants[mutant] });
