"""Physics engines behind one contract, `simulator.Simulator`."""
