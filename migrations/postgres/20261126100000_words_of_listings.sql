-- The words of a listing in alphabetical order of their bytes, each behind a space: one LIKE finds any number of them.
ALTER TABLE listings ADD COLUMN words TEXT;

CREATE FUNCTION words_in_order(document TSVECTOR) RETURNS TEXT LANGUAGE SQL AS $$
    SELECT string_agg(' ' || word, '' ORDER BY word COLLATE "C") FROM unnest(tsvector_to_array(document)) word
$$;

UPDATE listings SET words = words_in_order(w.document) FROM listing_words w WHERE w.adapter_id = listings.adapter_id;

-- A server of the previous release, which may run beside this one, does not write them.
CREATE FUNCTION keep_words_of_listing() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    UPDATE listings SET words = words_in_order(NEW.document) WHERE adapter_id = NEW.adapter_id AND words IS NULL;
    RETURN NULL;
END
$$;
CREATE TRIGGER keep_words_of_listing AFTER INSERT ON listing_words
    FOR EACH ROW EXECUTE FUNCTION keep_words_of_listing();

-- Where there are very many results, those that are pulled most come first.
CREATE INDEX adapters_by_pulls ON adapters (pulls DESC, id DESC);
