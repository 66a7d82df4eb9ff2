"""Everything that works without a run key: parameters, packing, wire format, blind addition, signatures."""
