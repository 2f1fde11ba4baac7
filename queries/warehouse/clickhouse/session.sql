-- What the server says of itself and of the user.
SELECT version(), timezone(), value FROM system.settings WHERE name = 'readonly'
