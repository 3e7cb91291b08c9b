#!/bin/sh
# Generate the TypeScript code of the wire contract. Needs Python with grpcio-tools, for
# protoc.
set -eu
cd "$(dirname "$0")"
python3 -m grpc_tools.protoc -I ../../proto \
    --plugin=node_modules/.bin/protoc-gen-ts_proto \
    --ts_proto_out=src/generated \
    --ts_proto_opt=outputServices=grpc-js,env=node,esModuleInterop=true,importSuffix=.js,forceLong=bigint,useExactTypes=false,outputJsonMethods=false,outputPartialMethods=true,unrecognizedEnum=false,oneof=unions-value \
    pipeline/v1/pipeline.proto pipeline/v1/lines.proto pipeline/v1/events.proto pipeline/v1/work_items.proto
