"""Photos of users, without ground truth: the restorer, and contact sheets that set models side by side."""
