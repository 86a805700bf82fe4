-- Which row of the full-text index has the words of a listing: FTS5 finds a row by its number alone.
ALTER TABLE listings ADD COLUMN document BIGINT;

-- The full-text index has no index by adapter: it is read once.
CREATE TABLE documents_of_listings (adapter_id TEXT PRIMARY KEY, document BIGINT);
INSERT OR REPLACE INTO documents_of_listings (adapter_id, document) SELECT adapter_id, rowid FROM listing_words;
UPDATE listings
SET document = (SELECT d.document FROM documents_of_listings d WHERE d.adapter_id = listings.adapter_id);
DROP TABLE documents_of_listings;
CREATE UNIQUE INDEX listings_by_document ON listings (document);

-- Whoever inserts a listing inserts its words behind it. A server of the previous release, which may run on this schema,
-- lets FTS5 number them, and FTS5 takes the number behind its largest.
CREATE TRIGGER number_document_of_listing AFTER INSERT ON listings WHEN NEW.document IS NULL BEGIN
    UPDATE listings SET document = 1 + MAX(
        (SELECT COALESCE(MAX(id), 0) FROM listing_words_content),
        (SELECT COALESCE(MAX(document), 0) FROM listings))
    WHERE adapter_id = NEW.adapter_id;
END;
