-- The words of a listing in alphabetical order of their bytes, each behind a space: one LIKE finds any number of them.
-- Without a value, a server of the previous release wrote the listing.
ALTER TABLE listings ADD COLUMN words TEXT;

-- The full-text index has no index by adapter: it is read once.
CREATE TABLE words_of_listings (adapter_id TEXT PRIMARY KEY, words TEXT);
INSERT OR REPLACE INTO words_of_listings (adapter_id, words)
SELECT w.adapter_id,
       (SELECT group_concat(' ' || word.value, '' ORDER BY word.value)
        FROM json_each('["' || replace(w.name || ' ' || w.task || ' ' || w.body, ' ', '","') || '"]') word
        WHERE word.value <> '')
FROM listing_words w;
UPDATE listings SET words = (SELECT w.words FROM words_of_listings w WHERE w.adapter_id = listings.adapter_id);
DROP TABLE words_of_listings;

-- Where there are very many results, those that are pulled most come first.
CREATE INDEX adapters_by_pulls ON adapters (pulls DESC, id DESC);
