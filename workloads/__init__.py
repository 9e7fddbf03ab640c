"""Workloads: clients that drive a database through its faults, and the recorder that writes what they were told."""
