-- What stands beside goes; the model that answers stays.
DROP SCHEMA IF EXISTS beside CASCADE;
DELETE FROM index_info WHERE chunk_table <> 'public.chunks'::regclass;
ALTER TABLE index_info DROP COLUMN chunk_table;
ALTER TABLE index_info DROP CONSTRAINT index_info_pkey;
ALTER TABLE index_info ADD COLUMN singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton);
