"""Reference engines, which the split is measured against, for any workload.

`floor` has the same legs with stages that do nothing, `queues` has multiprocessing
queues instead of gRPC, and `arrivals` measures latency at a fixed rate.
"""
