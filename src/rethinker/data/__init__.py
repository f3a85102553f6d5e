"""Where problems come from: dataset readers, streams, and the gym of procedurally drawn problems."""
