"""What tasks share that release a declared vector once: blocks of it, their bounds and noise, a phase of one round."""
