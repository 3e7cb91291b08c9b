"""Reference engines, which the split is measured against, for any workload.

`floor` has the same legs with stages that do nothing, `queues` has pipes between
processes instead of gRPC, and `arrivals` measures latency at a fixed rate.
`flight` and `dataflow` are peers: Arrow Flight and Bytewax, where they are installed.
"""
