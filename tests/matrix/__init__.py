"""What must hold at any batch size: ``--pipeline-batch-sizes`` says which are tried."""
