"""A load test of a deployment, and whether the response times are those that were predicted."""
