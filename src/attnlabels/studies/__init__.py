"""What studies beside the paper's own are told by: their tables, and a page of their results."""
