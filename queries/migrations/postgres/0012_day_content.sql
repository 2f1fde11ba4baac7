-- An order-free checksum of a day's events, where `evidence.restatement: checksums` asks for it: a day whose events were
-- changed and not only added to keeps its count.
ALTER TABLE rampkeeper.partitions ADD COLUMN content BIGINT;
