"""The sandbox in Twilio's dialect: a strict stand-in for its Voice REST API, its webhooks and its reading of TwiML."""
