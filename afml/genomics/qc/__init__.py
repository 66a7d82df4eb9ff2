"""Quality of an institution's genotypes: measured, held against gates, told in a table, qc.json and qc.html."""
