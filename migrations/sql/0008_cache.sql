-- A cached answer is found under the tenant's corpus revision, so that no change has to look for it. The
-- revision goes up with the chunks, as the last thing a publishing does, for the tenant's row is locked
-- from then on; what else of a document an answer shows or a filter asks for is counted here, whichever
-- statement changes it.

CREATE FUNCTION note_visible_change() RETURNS trigger LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE tenants SET corpus_revision = corpus_revision + 1
    WHERE id IN (SELECT n.tenant_id FROM was o JOIN now_is n ON n.id = o.id
                 WHERE o.current_version IS NOT DISTINCT FROM n.current_version
                   AND (o.title, o.tags, o.filename, o.url)
                       IS DISTINCT FROM (n.title, n.tags, n.filename, n.url));
    RETURN NULL;
END
$$;
CREATE TRIGGER visible_change AFTER UPDATE ON documents
    REFERENCING OLD TABLE AS was NEW TABLE AS now_is
    FOR EACH STATEMENT EXECUTE FUNCTION note_visible_change();
