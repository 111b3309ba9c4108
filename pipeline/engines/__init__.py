"""Who has tasks done: this machine's processes, Spark, Dataflow. Beam is imported here alone."""
