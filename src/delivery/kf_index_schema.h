/* SPDX-License-Identifier: Apache-2.0
 *
 * The index's tables, and how each version becomes the next. Texts only.
 *
 * Uploads stand in the order of their filing, whatever their window, so that filing appends; each
 * names the one before it in its window, and the window its last. What was seen in a window stands in
 * its row, and in pieces of their own, numbered WINDOW << 20 | N, where it is long.
 */
#ifndef KF_INDEX_SCHEMA_H
#define KF_INDEX_SCHEMA_H

/* "KFix", in the file's header. */
#define KF_INDEX_APPLICATION 0x4b466978

static const char *const kf_index_schema[] = {
    /* 1 */
    "CREATE TABLE connection (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"

    "CREATE TABLE dead_letter ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT," /* never given twice: operators name letters by it */
    " connection INTEGER NOT NULL,"
    " replay INTEGER NOT NULL DEFAULT 0,"
    " reason TEXT NOT NULL,"
    " code TEXT NOT NULL,"
    " message TEXT NOT NULL,"
    " request_id TEXT NOT NULL,"
    " attempts INTEGER NOT NULL,"
    " accepted_us INTEGER NOT NULL,"
    " failed_us INTEGER NOT NULL,"
    " kind INTEGER NOT NULL,"
    " events INTEGER NOT NULL,"
    " key BLOB NOT NULL,"
    " data BLOB NOT NULL);"
    "CREATE INDEX dead_letter_connection ON dead_letter (connection);"
    "CREATE INDEX dead_letter_replay ON dead_letter (connection) WHERE replay;"
    "CREATE TABLE dead_letter_total ("
    " connection INTEGER PRIMARY KEY,"
    " letters INTEGER NOT NULL,"
    " marked INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL);"
    "CREATE TRIGGER dead_letter_added AFTER INSERT ON dead_letter BEGIN"
    " INSERT INTO dead_letter_total VALUES (new.connection, 1, new.replay,"
    "  length(new.key) + length(new.data))"
    "  ON CONFLICT (connection) DO UPDATE SET letters = letters + 1,"
    "  marked = marked + excluded.marked, bytes = bytes + excluded.bytes; END;"
    "CREATE TRIGGER dead_letter_removed AFTER DELETE ON dead_letter BEGIN"
    " UPDATE dead_letter_total SET letters = letters - 1, marked = marked - old.replay,"
    "  bytes = bytes - length(old.key) - length(old.data) WHERE connection = old.connection; END;"
    "CREATE TRIGGER dead_letter_marked AFTER UPDATE OF replay ON dead_letter BEGIN"
    " UPDATE dead_letter_total SET marked = marked - old.replay + new.replay"
    "  WHERE connection = old.connection; END;"

    "CREATE TABLE window ("
    " id INTEGER PRIMARY KEY,"
    " connection INTEGER NOT NULL,"
    " digest BLOB,"             /* of the key; NULL once it takes no more */
    " due_us INTEGER NOT NULL," /* 0 once it takes no more */
    " kind INTEGER NOT NULL,"
    " opened_us INTEGER NOT NULL,"
    " last_us INTEGER NOT NULL,"
    " over_us INTEGER NOT NULL,"
    " began INTEGER NOT NULL,"
    " began_us INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL,"
    " uploads INTEGER NOT NULL,"
    " events INTEGER NOT NULL,"
    " last_upload INTEGER NOT NULL,"
    " message_id TEXT NOT NULL,"
    " pieces INTEGER NOT NULL," /* of seen */
    " ids BLOB NOT NULL);"      /* seen after the last piece */
    "CREATE UNIQUE INDEX window_digest ON window (digest) WHERE digest IS NOT NULL;"
    "CREATE INDEX window_due ON window (connection, due_us);"
    "CREATE INDEX window_open ON window (connection) WHERE digest IS NOT NULL;"
    "CREATE TABLE upload ("
    " id INTEGER PRIMARY KEY,"
    " previous INTEGER NOT NULL," /* 0: none */
    " text BLOB NOT NULL);"
    "CREATE TABLE seen (id INTEGER PRIMARY KEY, ids BLOB NOT NULL);"
    "CREATE TABLE window_total ("
    " connection INTEGER PRIMARY KEY,"
    " windows INTEGER NOT NULL,"
    " uploads INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL,"
    " sealed INTEGER NOT NULL,"
    " sealed_bytes INTEGER NOT NULL);",

    /* 2: what children filed that the journal may have no note of */
    "CREATE TABLE filed (child INTEGER PRIMARY KEY, filed_us INTEGER NOT NULL, keys BLOB NOT "
    "NULL);",

    /* 3: when connections were on hold; one that is open goes on until something is delivered */
    "CREATE TABLE hold ("
    " connection INTEGER NOT NULL,"
    " begin_us INTEGER NOT NULL,"
    " end_us INTEGER NOT NULL,"
    " is_open INTEGER NOT NULL,"
    " PRIMARY KEY (connection, begin_us)) WITHOUT ROWID;",

    /* 4 */
    "CREATE TABLE alerts ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT," /* never given twice */
    " connection TEXT NOT NULL,"             /* its name; '': the server as a whole */
    " message TEXT NOT NULL,"                /* KF0306 */
    " code TEXT NOT NULL,"
    " text TEXT NOT NULL,"
    " request_id TEXT NOT NULL,"
    " count INTEGER NOT NULL,"
    " first_us INTEGER NOT NULL,"
    " last_us INTEGER NOT NULL,"
    " cleared_us INTEGER NOT NULL," /* 0 while it lasts */
    " acknowledged_us INTEGER NOT NULL DEFAULT 0,"
    " acknowledged_by TEXT NOT NULL DEFAULT '',"
    " notified INTEGER NOT NULL);" /* the operator's command was run, or is not to be */
    "CREATE INDEX alerts_of ON alerts (connection, message, id);"
    "CREATE INDEX alerts_last ON alerts (last_us);"
    "CREATE INDEX alerts_cleared ON alerts (cleared_us);",

    /* 5: windows that were due by then may have left: they take no more */
    "CREATE TABLE closing (connection INTEGER PRIMARY KEY, until_us INTEGER NOT NULL);",

    /* 6: children file at their own pace; what came first is merged first */
    "ALTER TABLE upload ADD COLUMN received_us INTEGER NOT NULL DEFAULT 0;",
};

#define KF_INDEX_VERSION ((int)(sizeof(kf_index_schema) / sizeof(kf_index_schema[0])))

#endif
