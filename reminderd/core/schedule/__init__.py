"""When a patient may be called: calling hours, limits, time zones, and dates as people write them."""
