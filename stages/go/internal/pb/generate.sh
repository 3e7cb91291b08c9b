#!/bin/sh
# Generate the messages and services from the contract. PROTOC names the compiler, by
# default `protoc`; `python -m grpc_tools.protoc` of grpcio-tools will do, too.
# go.mod pins the versions of the two plugins.
set -eu
proto=../../../../proto
package='pipeline/stages/go/internal/pb;pb'
set --
for name in pipeline lines events work_items; do
    set -- "$@" \
        "--go_opt=Mpipeline/v1/$name.proto=$package" \
        "--go-grpc_opt=Mpipeline/v1/$name.proto=$package" \
        "$proto/pipeline/v1/$name.proto"
done
${PROTOC:-protoc} -I "$proto" \
    --plugin="protoc-gen-go=$(go tool -n protoc-gen-go)" \
    --plugin="protoc-gen-go-grpc=$(go tool -n protoc-gen-go-grpc)" \
    --go_out=. --go_opt=module=pipeline/stages/go/internal/pb \
    --go-grpc_out=. --go-grpc_opt=module=pipeline/stages/go/internal/pb \
    "$@"
