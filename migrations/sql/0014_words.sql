-- What PostgreSQL's parser takes for a letter depends on the server's locale: in C every character
-- beyond ASCII is one, so that a typographic quote, a dash or an Arabic question mark becomes part of the
-- word beside it. So they are taken away before (ADR 0025).
ALTER FUNCTION searchable(text) RENAME TO paired;

-- Text as the parser should see it, from the inside out: what nobody sees is gone, so that it parts no
-- word; marks beyond ASCII become spaces; ligatures, other widths and accents of their own become the
-- letters they stand for; the halves of a word that a line's end parts become one; thousands lose their commas;
-- scripts without spaces come in pairs.
CREATE FUNCTION searchable(p_text text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN paired(regexp_replace(regexp_replace(
    CASE WHEN p_text ~ '[^\u0001-\u007f]' THEN
        normalize(regexp_replace(
            regexp_replace(p_text, '[\u00ad\u0640\u200b\u2060\ufe00-\ufe0f\ufeff]', '', 'g'),
            '[\u00a1-\u00a9\u00ab\u00ac\u00ae-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7\u02c2-\u02c5\u02d2-\u02df'
            '\u037e\u0387\u055a-\u055f\u0589-\u058f\u05be\u05c0\u05c3\u05c6\u05f3\u05f4\u0606-\u060f\u061b-\u061f'
            '\u066a-\u066d\u06d4\u0964\u0965\u0970\u09f2\u09f3\u09fb\u09fd\u0a76\u0af0\u0af1\u0bf9\u0c77\u0c84\u0df4\u0e3f\u0e4f\u0e5a\u0e5b'
            '\u0f04-\u0f14\u0f3a-\u0f3d\u0f85\u0fd0-\u0fda\u104a-\u104f\u10fb\u1360-\u1368'
            '\u17d4-\u17d6\u17d8-\u17db\u1800-\u180a\u2000-\u200b\u200e-\u205f\u2070\u2071\u2074-\u207f'
            '\u20a0-\u20c0\u2120-\u2122\u2190-\u245f\u2500-\u2bff\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020'
            '\u3030\u303d-\u303f\u30a0\u30fb\ufd3e\ufd3f\ufe10-\ufe6f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40'
            '\uff5b-\uff65\uffe0-\uffee\ufffc\ufffd]+', ' ', 'g'), NFKC)
    ELSE p_text END,
    '([[:alpha:]])-\s+(?!(?:and|or|to|und|oder|bis)\s)(?=[[:lower:]])', '\1', 'g'),
    '([0-9]),(?=[0-9]{3}(?![0-9]))', '\1', 'g'));
