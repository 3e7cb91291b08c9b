"""Everything that knows gRPC: servers, channels, and the processes behind them."""
