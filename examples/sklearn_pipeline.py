"""Put a network into a scikit-learn pipeline and search its settings: pip install 'scikit-learn>=1.6'"""

from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastdigits.sklearn import FastDigitsClassifier

# 1,797 digits of 8 × 8 pixels come with scikit-learn.
x, y = load_digits(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=0)

# The scaler learns mean and deviation from training rows alone, because it is a part of the model.
schedule = {"max_iter": 30, "learning_rate": "one-cycle", "learning_rate_init": 0.01}
model = make_pipeline(StandardScaler(), FastDigitsClassifier(**schedule, random_state=0))

# Each setting is tried on three parts of the training rows. A name is the step's name, two underscores, the parameter.
settings = {
    "fastdigitsclassifier__hidden_layer_sizes": [(32,), (64, 32)],
    "fastdigitsclassifier__batchnorm": ["none", "all"],
}
search = GridSearchCV(model, settings, cv=3)
search.fit(x_train, y_train)
for setting, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True):
    print(f"{score:.1%}", *setting.values())  # 9…%…

# GridSearchCV has trained the best setting again, on all training rows.
print(f"test accuracy {search.score(x_test, y_test):.1%}")  # test accuracy 9…%
