-- What is published goes into the full-text index at once. Otherwise it first goes to a list that every search reads to
-- its end, and one publish in some thousand brings all of that list into the index and waits for it.
ALTER INDEX listing_words_document SET (fastupdate = off);
SELECT gin_clean_pending_list('listing_words_document');
