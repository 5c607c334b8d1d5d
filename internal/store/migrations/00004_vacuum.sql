-- What older versions have deleted may still lie in unused pages, values of environments too.

-- +goose NO TRANSACTION
-- +goose Up
VACUUM;
