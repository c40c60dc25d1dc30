"""What the pipeline is (documents) and how it is judged (policies)."""
