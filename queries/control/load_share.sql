SELECT CAST(allocation AS TEXT) AS allocation FROM exp.variants WHERE id = $1::uuid
