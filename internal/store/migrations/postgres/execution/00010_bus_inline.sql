-- +goose Up

-- Events are packed before they are stored, and most are gone within a second: they stand
-- in the row, where compressing them again and a place of their own would cost more than
-- all else that is written.
ALTER TABLE bus_event ALTER COLUMN doc SET STORAGE EXTERNAL;
ALTER TABLE bus_event SET (toast_tuple_target = 8160);
