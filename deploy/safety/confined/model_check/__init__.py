"""What runs inside the confined process. It imports nothing of the advisor."""
