-- Made at every start, in memory: what every office has here, by lane (relay/store/shares.py). Counted from the rows, and
-- kept by them from then on in whatever way they come and go; a change that is undone is not counted.

CREATE TEMP TABLE shares (
    office BLOB, lane INTEGER, entries INTEGER, bytes INTEGER, UNIQUE (office, lane)
);

CREATE TEMP TRIGGER held_comes AFTER INSERT ON held BEGIN
    INSERT INTO shares VALUES (NEW.share, NEW.lane, 1, NEW.size)
        ON CONFLICT DO UPDATE SET entries = entries + 1, bytes = bytes + excluded.bytes;
END;
CREATE TEMP TRIGGER held_goes AFTER DELETE ON held BEGIN
    UPDATE shares SET entries = entries - 1, bytes = bytes - ifnull(OLD.size, 0)
        WHERE office = OLD.share AND lane = OLD.lane;
END;

CREATE TEMP TRIGGER inbox_comes AFTER INSERT ON inbox BEGIN
    INSERT INTO shares VALUES (NEW.sender, NEW.lane, 1, NEW.size)
        ON CONFLICT DO UPDATE SET entries = entries + 1, bytes = bytes + excluded.bytes;
END;
CREATE TEMP TRIGGER inbox_changes AFTER UPDATE OF size ON inbox BEGIN
    UPDATE shares SET bytes = bytes + NEW.size - ifnull(OLD.size, 0)
        WHERE office = OLD.sender AND lane = OLD.lane;
END;
CREATE TEMP TRIGGER inbox_goes AFTER DELETE ON inbox BEGIN
    UPDATE shares SET entries = entries - 1, bytes = bytes - ifnull(OLD.size, 0)
        WHERE office = OLD.sender AND lane = OLD.lane;
END;

CREATE TEMP TRIGGER sent_comes AFTER INSERT ON sent BEGIN
    INSERT INTO shares VALUES (x'', NEW.lane, 1, NEW.size)
        ON CONFLICT DO UPDATE SET entries = entries + 1, bytes = bytes + excluded.bytes;
END;
CREATE TEMP TRIGGER sent_changes AFTER UPDATE OF size ON sent BEGIN
    UPDATE shares SET bytes = bytes + NEW.size - ifnull(OLD.size, 0)
        WHERE office = x'' AND lane = OLD.lane;
END;
CREATE TEMP TRIGGER sent_goes AFTER DELETE ON sent BEGIN
    UPDATE shares SET entries = entries - 1, bytes = bytes - ifnull(OLD.size, 0)
        WHERE office = x'' AND lane = OLD.lane;
END;

-- A damaged row may say anything of its size; none is larger than 1 MiB.
INSERT INTO shares SELECT share, lane, 1, min(max(ifnull(size, 0), 0), 1048576)
    FROM held INDEXED BY held_expiry WHERE 1
    ON CONFLICT DO UPDATE SET entries = entries + 1, bytes = bytes + excluded.bytes;
INSERT INTO shares SELECT sender, lane, 1, min(max(ifnull(size, 0), 0), 1048576)
    FROM inbox INDEXED BY inbox_copy WHERE 1
    ON CONFLICT DO UPDATE SET entries = entries + 1, bytes = bytes + excluded.bytes;
INSERT INTO shares SELECT x'', lane, 1, min(max(ifnull(size, 0), 0), 1048576)
    FROM sent INDEXED BY sent_accepted WHERE 1
    ON CONFLICT DO UPDATE SET entries = entries + 1, bytes = bytes + excluded.bytes;
