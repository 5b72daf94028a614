"""What the workflow runs, and when a stage is stale."""
