// Mutants in Node: the rules stage of examples/rules_in_node with one thing broken each.
//
// The name on the command line says which; "none" is the stage as it is.

import { fromEnum, fromSint64, Message } from "../../../examples/rules_in_node/protobuf.mjs";
import { stage } from "../../../examples/rules_in_node/rules.mjs";
import { serve } from "../../../examples/rules_in_node/stage.mjs";

const never = new Promise(() => {});

const mutants = {
  none: {},

  // Values are numbers of this language, which wrap as in a bitwise operation.
  "wraps-at-32-bits": {
    encode: ({ type, value }) =>
      new Message()
        .packed(1, type, fromEnum)
        .packed(2, value.map((one) => BigInt.asIntN(32, one)), fromSint64)
        .finish(),
  },

  // Values are read as doubles, of which the largest is taken for the next.
  "rounds-large-values": {
    encode: ({ type, value }) =>
      new Message()
        .packed(1, type, fromEnum)
        .packed(2, value.map((one) => BigInt(Math.fround(Number(one)))), fromSint64)
        .finish(),
  },

  // All is answered, but the stream never ends.
  "ignores-the-half-close": {
    async *process(batches, answer) {
      for await (const batch of batches) yield await answer(batch);
      await never;
    },
  },

  // Nothing is answered before the client has half-closed.
  "answers-at-the-end": {
    async *process(batches, answer) {
      const answers = [];
      for await (const batch of batches) answers.push(await answer(batch));
      yield* answers;
    },
  },

  // What fails is answered with nothing.
  "swallows-errors": {
    async *process(batches, answer) {
      for await (const batch of batches) {
        try {
          yield await answer(batch);
        } catch {
          const nothing = { records: 0, filtered: 0, rejections: [] };
          const payload = new Uint8Array();
          yield { number: batch.number, ...nothing, typeUrl: `/${stage.returns}`, payload };
        }
      }
    },
  },
};

await serve({ ...stage, ...mutants[process.argv[2]] });
